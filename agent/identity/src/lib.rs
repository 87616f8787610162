//! Secp256k1 keys, signed envelopes and encryption of a Ratio1 node.
