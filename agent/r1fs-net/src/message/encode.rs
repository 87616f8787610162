//! Writing protobuf by hand: lengths are counted first, so that blocks need no copy.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{Entry, Message, Payload, Prefix, WantType};

/// Length of a varint, bytes.
fn varint_len(value: u64) -> usize {
    (64 - (value | 1).leading_zeros() as usize).div_ceil(7)
}

/// Appends a varint.
fn put(out: &mut BytesMut, mut value: u64) {
    while value >= 0x80 {
        out.put_u8((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    out.put_u8(value as u8);
}

fn put_key(out: &mut BytesMut, field: u64, kind: u64) {
    put(out, (field << 3) | kind);
}

fn put_number(out: &mut BytesMut, field: u64, value: u64) {
    if value != 0 {
        put_key(out, field, 0);
        put(out, value);
    }
}

fn put_bytes(out: &mut BytesMut, field: u64, bytes: &[u8]) {
    put_key(out, field, 2);
    put(out, bytes.len() as u64);
    out.put_slice(bytes);
}

/// Protobuf's int32: negative numbers have ten bytes.
fn int32(value: i32) -> u64 {
    i64::from(value).cast_unsigned()
}

fn entry(entry: &Entry) -> BytesMut {
    let mut out = BytesMut::new();
    put_bytes(&mut out, 1, &entry.cid.to_bytes());
    put_number(&mut out, 2, int32(entry.priority));
    put_number(&mut out, 3, entry.cancel.into());
    put_number(&mut out, 4, (entry.want == WantType::Have).into());
    put_number(&mut out, 5, entry.send_dont_have.into());
    out
}

fn wantlist(message: &Message) -> BytesMut {
    let mut out = BytesMut::new();
    for each in &message.entries {
        put_bytes(&mut out, 1, &entry(each));
    }
    put_number(&mut out, 2, message.full.into());
    out
}

fn prefix(prefix: &Prefix) -> BytesMut {
    let mut out = BytesMut::new();
    for number in [prefix.version, prefix.codec, prefix.hash, prefix.length] {
        put(&mut out, number);
    }
    out
}

/// All of a payload block but its data, which must follow.
fn before_data(out: &mut BytesMut, block: &Payload) {
    let prefix = prefix(&block.prefix);
    let data = block.data.len() as u64;
    let inner = 1 + varint_len(prefix.len() as u64) + prefix.len() + 1 + varint_len(data) + block.data.len();
    put_key(out, 3, 2);
    put(out, inner as u64);
    put_bytes(out, 1, &prefix);
    put_key(out, 2, 2);
    put(out, data);
}

/// The message without its length.
fn body(message: &Message) -> Vec<Bytes> {
    let (mut pieces, mut out) = (Vec::with_capacity(2 * message.blocks.len() + 2), BytesMut::new());
    if message.full || !message.entries.is_empty() {
        put_bytes(&mut out, 1, &wantlist(message));
    }
    for (cid, have) in &message.presences {
        let mut presence = BytesMut::new();
        put_bytes(&mut presence, 1, &cid.to_bytes());
        put_number(&mut presence, 2, (!have).into());
        put_bytes(&mut out, 4, &presence);
    }
    put_number(&mut out, 5, int32(message.pending_bytes));
    for block in &message.blocks {
        before_data(&mut out, block);
        pieces.push(out.split().freeze());
        pieces.push(block.data.clone());
    }
    pieces.push(out.freeze());
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

pub(super) fn framed(message: &Message) -> Vec<Bytes> {
    let body = body(message);
    let length: usize = body.iter().map(Bytes::len).sum();
    let mut head = BytesMut::new();
    put(&mut head, length as u64);
    let mut pieces = vec![head.freeze()];
    pieces.extend(body);
    pieces
}
