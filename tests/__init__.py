"""The tests, by what they need: unit (nothing), contract and integration (servers), sandbox, e2e (processes).

This file makes `tests` one package, so that no library's own `tests` can stand in for it; the folders below
need none. What tests share is in `tests/support`: real Redis servers, processes of the API and the runner,
factories. What several folders share as a fixture goes into `tests/conftest.py`.
"""
