//! What should be: Kubernetes objects, parsed once and valid ever after.

pub mod model;
