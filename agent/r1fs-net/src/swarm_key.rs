//! The key of a private network, as Kubo keeps it in `swarm.key` (Private Networks, PSK version 1).

use std::fmt;

use zeroize::Zeroizing;

use crate::NetError;

/// 32 bytes that all nodes of a private network share: who has not got them cannot even start a handshake.
#[derive(Clone)]
pub struct SwarmKey(Zeroizing<[u8; 32]>);

impl SwarmKey {
    /// A key of its bytes.
    pub fn new(bytes: Zeroizing<[u8; 32]>) -> Self {
        Self(bytes)
    }

    /// Reads `/key/swarm/psk/1.0.0/`, `/base16/` and 64 hexadecimal digits, each on its line.
    ///
    /// # Errors
    /// [`NetError::SwarmKey`] says which line is wrong, never what it contains.
    pub fn parse(text: &str) -> Result<Self, NetError> {
        let mut lines = text.lines().map(str::trim_end);
        if lines.next() != Some("/key/swarm/psk/1.0.0/") {
            return Err(NetError::SwarmKey("line 1 must be /key/swarm/psk/1.0.0/"));
        }
        if lines.next() != Some("/base16/") {
            return Err(NetError::SwarmKey("line 2 must be /base16/"));
        }
        let digits = lines.next().unwrap_or_default().as_bytes();
        let bad = || NetError::SwarmKey("line 3 must be 64 hexadecimal digits");
        if digits.len() != 64 {
            return Err(bad());
        }
        let mut key = Zeroizing::new([0; 32]);
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            let (high, low) = (digit(pair[0]).ok_or_else(bad)?, digit(pair[1]).ok_or_else(bad)?);
            *byte = high << 4 | low;
        }
        Ok(Self(key))
    }

    pub(crate) fn bytes(&self) -> [u8; 32] {
        *self.0
    }
}

fn digit(byte: u8) -> Option<u8> {
    let value = char::from(byte).to_digit(16)?;
    u8::try_from(value).ok()
}

impl fmt::Debug for SwarmKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SwarmKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_is_read() {
        let digits = "0f".repeat(32);
        for end in ["", "\n", "\r\n"] {
            let text = format!("/key/swarm/psk/1.0.0/\n/base16/\n{digits}{end}");
            assert_eq!(SwarmKey::parse(&text).unwrap().bytes(), [0x0f; 32]);
        }
    }

    #[test]
    fn each_wrong_line_is_named_without_its_content() {
        let fault = |text: &str| SwarmKey::parse(text).unwrap_err().to_string();
        assert!(fault("").contains("line 1"));
        assert!(fault("/key/swarm/psk/1.0.0/\n/base64/\n").contains("line 2"));
        let secret = "zz".repeat(32);
        let text = fault(&format!("/key/swarm/psk/1.0.0/\n/base16/\n{secret}"));
        assert!(text.contains("line 3") && !text.contains("zz"));
        assert!(fault("/key/swarm/psk/1.0.0/\n/base16/\n0f").contains("line 3"));
        assert!(!format!("{:?}", SwarmKey::new(Zeroizing::new([7; 32]))).contains('7'));
    }
}
