//! The bytes of a snapshot: a header, then the owner, the time, and each resource as kind, name, version and body. Numbers are
//! little-endian; texts and bodies follow their length.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{Buf, BufMut, Bytes};
use sha2::{Digest, Sha256};

use super::State;
use crate::ResourceType;
use crate::delta::Received;

const FORMAT: &[u8] = b"selvedge xds snapshot 1\n";
const DIGEST_BYTES: usize = 32;
const HEADER_BYTES: usize = FORMAT.len() + 8 + DIGEST_BYTES;

pub(super) fn encode(state: &State, owner: &str) -> Vec<u8> {
    let size: usize = state.resources.iter().map(|(_, resource)| resource.name.len() + resource.body.len() + 32).sum();
    let mut file = Vec::with_capacity(HEADER_BYTES + owner.len() + size);
    file.put_slice(FORMAT);
    file.put_bytes(0, HEADER_BYTES - FORMAT.len());
    put_text(&mut file, owner.as_bytes());
    let written = state.written.duration_since(UNIX_EPOCH).unwrap_or_default();
    file.put_u64_le(written.as_secs());
    file.put_u64_le(state.resources.len() as u64);
    for (kind, Received { name, version, body }) in &state.resources {
        put_text(&mut file, kind.type_url().as_bytes());
        put_text(&mut file, name.as_bytes());
        put_text(&mut file, version.as_bytes());
        put_text(&mut file, body);
    }
    let (header, content) = file.split_at_mut(HEADER_BYTES);
    let mut fields = &mut header[FORMAT.len()..];
    fields.put_u64_le(content.len() as u64);
    fields.put_slice(&Sha256::digest(content));
    file
}

pub(super) fn decode(mut file: Bytes, owner: &str) -> Result<State, String> {
    if !file.starts_with(FORMAT) {
        return Err("not a snapshot of this format".to_owned());
    }
    file.advance(FORMAT.len());
    let length = get_number(&mut file)?;
    if length.checked_add(DIGEST_BYTES as u64) != Some(file.len() as u64) {
        return Err(format!("{} bytes follow instead of {length}: it is cut off or changed", file.len()));
    }
    let digest = file.split_to(DIGEST_BYTES);
    if *digest != *Sha256::digest(&file) {
        return Err("its checksum is wrong".to_owned());
    }
    let found = get_text(&mut file)?;
    if *found != *owner {
        return Err(format!("it belongs to {found:?}, and this is {owner:?}"));
    }
    let seconds = get_number(&mut file)?;
    let written = UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH);
    let count = get_number(&mut file)?;
    let mut resources = Vec::new();
    for _ in 0..count {
        let type_url = get_text(&mut file)?;
        let kind =
            ResourceType::from_type_url(&type_url).ok_or_else(|| format!("it holds the unknown type {type_url:?}"))?;
        let (name, version) = (get_text(&mut file)?, get_text(&mut file)?);
        resources.push((kind, Received { name, version, body: get_bytes(&mut file)? }));
    }
    Ok(State { written, resources })
}

fn put_text(file: &mut Vec<u8>, text: &[u8]) {
    file.put_u64_le(text.len() as u64);
    file.put_slice(text);
}

fn get_number(file: &mut Bytes) -> Result<u64, String> {
    file.try_get_u64_le().map_err(|_| "it ends too early".to_owned())
}

fn get_bytes(file: &mut Bytes) -> Result<Bytes, String> {
    let length = usize::try_from(get_number(file)?).ok().filter(|length| *length <= file.len());
    Ok(file.split_to(length.ok_or("it ends too early")?))
}

fn get_text(file: &mut Bytes) -> Result<Arc<str>, String> {
    let bytes = get_bytes(file)?;
    std::str::from_utf8(&bytes).map(Arc::from).map_err(|_| "a name in it is not text".to_owned())
}
