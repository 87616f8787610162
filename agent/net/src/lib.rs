//! The libp2p swarm of a node: transports, topics, request-response, limits.
