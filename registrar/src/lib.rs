//! An RSerPool registrar.
