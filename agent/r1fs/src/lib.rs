//! R1FS: content-addressed files that any IPFS peer can fetch and nobody without the secret can read.
//!
//! [`cid`] names blocks; [`store`] keeps them; [`fetch`] brings them here from an
//! [`exchange`]; [`unixfs`] cuts files into them and [`seal`] encrypts files; [`durability`] decides who keeps copies;
//! [`files`] is all of it together, [`api`] is what the front ends (HTTP, control socket) ask of a node.

pub mod api;
pub mod car;
pub mod cid;
pub mod dag_pb;
pub mod document;
pub mod durability;
pub mod exchange;
pub mod fetch;
pub mod files;
pub mod http;
pub mod seal;
pub mod store;
pub mod unixfs;

pub use api::Files;
pub use cid::{Block, Cid, MAX_BLOCK};
