//! What should be: Kubernetes objects, parsed once and valid ever after.
//!
//! The way in: [`read_files`] (or [`read_str`], or [`builtin`]) gives raw [`Objects`],
//! each with the place it was read from; [`Objects::resolve`] checks them and gives a
//! [`Spec`], which everything below works from.

mod builtin;
pub mod model;
pub mod parse;

pub use builtin::{BUILTIN_YAML, builtin, builtin_yaml};
pub use model::Spec;
pub use parse::{
    Located, Objects, Place, Reason, Running, SpecError, read_directory, read_files, read_running,
    read_str,
};
