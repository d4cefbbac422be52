"""Results as SARIF 2.1.0 (OASIS, errata 01): `log` makes the document, `places` what points into files."""
