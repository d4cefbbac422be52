"""Results as SARIF 2.1.0 (OASIS, errata 01): `document` builds it, `locations` converts files and columns."""
