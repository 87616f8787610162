//! BFT agreement of the oracles: blocks, certificates, light client.
