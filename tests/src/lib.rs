//! End-to-end tests on the real binaries and real peers; see `tests/tests`.
