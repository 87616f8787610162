//! The ledger's rules as a pure state machine: licences, rewards, claims.
