//! The msgpack that an answer needs: "Msgpack" in docs/plugin_abi.md has the other types.

/// A map of up to 15 members; each is a key and a value, in this order.
pub fn map(out: &mut Vec<u8>, members: u8) {
    assert!(members < 16);
    out.push(0x80 + members);
}

pub fn text(out: &mut Vec<u8>, text: &str) {
    let size = u16::try_from(text.len()).expect("a text of up to 65,535 bytes");
    out.push(0xda);
    out.extend_from_slice(&size.to_be_bytes());
    out.extend_from_slice(text.as_bytes());
}

pub fn unsigned(out: &mut Vec<u8>, number: u64) {
    out.push(0xcf);
    out.extend_from_slice(&number.to_be_bytes());
}
