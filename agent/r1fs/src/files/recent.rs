//! Blocks that came from peers a moment ago: they are read again before they are on disk.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::Cid;

/// Most bytes that are kept.
const MOST: usize = 8 << 20;

/// The last blocks that came, up to [`MOST`] bytes; the oldest go first.
#[derive(Debug, Default)]
pub(super) struct Recent {
    blocks: HashMap<Cid, Bytes>,
    order: VecDeque<Cid>,
    bytes: usize,
}

impl Recent {
    pub(super) fn get(&self, cid: &Cid) -> Option<Bytes> {
        self.blocks.get(cid).cloned()
    }

    pub(super) fn put(&mut self, cid: Cid, data: Bytes) {
        if self.blocks.contains_key(&cid) {
            return;
        }
        self.bytes += data.len();
        self.order.push_back(cid);
        self.blocks.insert(cid, data);
        while self.bytes > MOST {
            let Some(oldest) = self.order.pop_front() else {
                return;
            };
            self.bytes -= self.blocks.remove(&oldest).map_or(0, |data| data.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cid::{RAW, v1};

    #[test]
    fn the_oldest_go_when_there_is_too_much() {
        let mut recent = Recent::default();
        let data = Bytes::from(vec![0; MOST / 4]);
        let names: Vec<Cid> = (0..5u8).map(|n| v1(RAW, &[n])).collect();
        for name in &names {
            recent.put(*name, data.clone());
            recent.put(*name, data.clone());
        }
        assert!(recent.get(&names[0]).is_none());
        assert!(names[1..].iter().all(|name| recent.get(name).is_some()));
        assert_eq!(recent.bytes, MOST);
    }
}
