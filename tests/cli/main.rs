//! The command line from the outside: what a user types, what comes back, what lies on disk afterwards.

mod bad_input;
mod compare;
mod end_to_end;
mod help;
mod interruption;
mod sandbox;
