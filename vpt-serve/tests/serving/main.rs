//! The server as its clients see it, over real connections.

mod answers;
mod bodies;
mod document;
mod limits;
mod served;
mod swapping;
mod tokens;
