//! What measurements and tests have in common: labs, and the faults that the doctor is held
//! against.

pub mod command;
pub mod doctor;
pub mod interrupt;
pub mod lab;
