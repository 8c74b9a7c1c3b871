//! control-api
