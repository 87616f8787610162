//! Who asks: the operator of this machine, or one of its containers by its token.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use axum::{extract::Request, http::header::AUTHORIZATION};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use sha2::{Digest as _, Sha256};

use crate::api::Caller;

/// Tokens and whom they stand for. Only their hashes are kept. A clone knows the same tokens.
#[derive(Clone, Default)]
pub struct Callers {
    tokens: Arc<RwLock<HashMap<[u8; 32], Caller>>>,
    /// Whether a request without a token is the operator's.
    open: bool,
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers")
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

impl Callers {
    /// Requests without a token are the operator's if `open` is set: for a listener that only the operator reaches,
    /// such as loopback of a machine that nobody else logs in to. Otherwise they are refused.
    pub fn new(open: bool) -> Self {
        Self {
            open,
            ..Self::default()
        }
    }

    /// From now on this token stands for a caller.
    pub fn grant(&self, token: &str, caller: Caller) {
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        tokens.insert(hash(token), caller);
    }

    /// From now on no token stands for this caller.
    pub fn revoke(&self, caller: &Caller) {
        let mut tokens = self.tokens.write().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, other| other != caller);
    }

    /// `Authorization: Bearer <token>`, or `Basic` with the token as its password. A wrong token is nobody's.
    pub(super) fn caller(&self, request: &Request) -> Option<Caller> {
        let Some(value) = request.headers().get(AUTHORIZATION) else {
            return self.open.then_some(Caller::Operator);
        };
        let (scheme, rest) = value.to_str().ok()?.split_once(' ')?;
        let token = match scheme.to_ascii_lowercase().as_str() {
            "bearer" => rest.trim().to_owned(),
            "basic" => {
                let decoded = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
                decoded.split_once(':')?.1.to_owned()
            }
            _ => return None,
        };
        let tokens = self.tokens.read().unwrap_or_else(PoisonError::into_inner);
        // Looked up by hash: how long it takes says nothing about tokens.
        tokens.get(&hash(&token)).cloned()
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}
