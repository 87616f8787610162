//! r1-hostd, the privileged half of a node: kernel probes and containers. It opens no IP socket and speaks
//! `org.ratio1.Host1` with r1d and root only.

pub mod probe;
