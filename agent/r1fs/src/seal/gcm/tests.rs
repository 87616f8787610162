use aes_gcm::{Aes256Gcm, KeyInit as _, aead::Aead as _};
use proptest::prelude::*;

use super::*;
use crate::unixfs::{Importer, Nowhere, Profile};

/// Measured against upstream: `{"name":"test","nested":{"key":"value"},"value":123}` as `test.json`, secret
/// `test-secret`, nonce 1.
const VECTOR: &str = "f5b165224a58b791df6af1d8000000198b9b6660412123310951df2e57655050b451e6fe72969e77f1f58c9ede933d8f\
                      bb8939a6a879b1120de5ef50f85394fd220948c655073a9f61535ce4455c3f737e860687d3fb04fbaaff2b60789a719b\
                      4a4245129bad01fdd6e5635788";

fn key() -> Key {
    Key::of_secret(Some("test-secret"))
}

fn seal(nonce: Nonce, name: &str, pieces: &[&[u8]]) -> Vec<u8> {
    let (mut sealer, header) = Sealer::new(&key(), nonce, name).unwrap();
    let mut object = header.to_vec();
    for piece in pieces {
        let mut piece = piece.to_vec();
        sealer.update(&mut piece).unwrap();
        object.extend(piece);
    }
    object.extend(sealer.finish());
    object
}

fn check(key: &Key, object: &[u8], piece: usize) -> Result<Opener, SealError> {
    let Some((header, rest)) = object.split_first_chunk() else {
        return Err(SealError::Refused);
    };
    let mut check = TagCheck::new(key, header, object.len() as u64)?;
    for piece in rest.chunks(piece) {
        check.feed(piece)?;
    }
    check.finish()
}

fn read(opener: &Opener, object: &[u8], range: Range<u64>) -> Vec<u8> {
    let at = range.start;
    let place = opener.object_range(range);
    let mut content = object[place.start as usize..place.end as usize].to_vec();
    opener.decrypt(at, &mut content);
    content
}

/// The other implementation.
fn oracle(nonce: Nonce, name: &str, content: &[u8]) -> Vec<u8> {
    let meta = name::to_meta(name).unwrap();
    let cipher = Aes256Gcm::new(key().bytes().into());
    let message = [meta.as_bytes(), content].concat();
    let sealed = cipher.encrypt(&nonce.into(), &message[..]).unwrap();
    let length = u32::try_from(meta.len()).unwrap().to_be_bytes();
    [&nonce[..], &length, &sealed].concat()
}

/// Cuts at the given places.
fn cut<'a>(content: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<_> = places
        .iter()
        .map(|place| place.index(content.len() + 1))
        .collect();
    places.extend([0, content.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &content[pair[0]..pair[1]]).collect()
}

#[test]
fn an_object_is_upstreams_byte_for_byte() {
    let content = br#"{"name":"test","nested":{"key":"value"},"value":123}"#;
    let nonce = super::super::nonce::from_integer(1);
    let object = seal(nonce, "test.json", &[content]);
    assert_eq!(hex::encode(&object), VECTOR);
    let mut importer = Importer::new(Profile::KUBO);
    importer.push(&object, &mut Nowhere).unwrap();
    let cid = importer.finish(&mut Nowhere).unwrap().cid;
    assert_eq!(cid.to_string(), "QmdNA9YKmvvQk7JacJYAxnVEVz2bSXUijnMqpna31FZXPG");
    let opener = check(&key(), &object, 7).unwrap();
    assert_eq!((opener.filename(), opener.size()), ("test.json", 52));
    assert_eq!(read(&opener, &object, 0..52), content);
}

#[test]
fn every_changed_bit_and_every_cut_is_refused() {
    let object = hex::decode(VECTOR).unwrap();
    for bit in 0..object.len() * 8 {
        let mut changed = object.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(check(&key(), &changed, 16).is_err(), "bit {bit}");
    }
    for length in 0..object.len() {
        assert!(check(&key(), &object[..length], 64).is_err(), "{length} bytes");
    }
    let longer = [&object[..], b"x"].concat();
    assert_eq!(check(&key(), &longer, 64).unwrap_err(), SealError::Refused);
}

#[test]
fn a_metadata_length_that_reaches_into_spaces_of_the_content_is_refused() {
    let mut object = seal([1; 12], "a", &[b"   x"]);
    assert!(check(&key(), &object, 64).is_ok());
    object[NONCE + 3] += 2;
    assert_eq!(check(&key(), &object, 64).unwrap_err(), SealError::Meta);
}

#[test]
fn hostile_headers_are_refused_before_anything_is_kept() {
    let header = |length: u32| {
        let mut header = [0; HEADER];
        header[NONCE..].copy_from_slice(&length.to_be_bytes());
        header
    };
    let refused = |length, object| TagCheck::new(&key(), &header(length), object).err();
    assert!(matches!(refused(0, 31), Some(SealError::TooShort { .. })));
    assert!(matches!(refused(0, u64::MAX), Some(SealError::TooLong { .. })));
    assert!(matches!(
        refused(9, 40),
        Some(SealError::MetaLength { most: 8, .. })
    ));
    assert!(matches!(
        refused(u32::MAX, 1 << 33),
        Some(SealError::MetaLength { .. })
    ));
    let mut check = TagCheck::new(&key(), &header(1), 40).unwrap();
    assert_eq!(check.feed(&[0; 25]), Err(SealError::Refused));
}

#[test]
fn an_empty_file_is_an_object_too() {
    let object = seal([0; 12], "empty", &[]);
    assert_eq!(object, oracle([0; 12], "empty", b""));
    let opener = check(&key(), &object, 1).unwrap();
    assert_eq!(opener.size(), 0);
    assert!(opener.object_range(5..9).is_empty());
}

proptest! {
    #[test]
    fn any_cut_gives_the_object_of_the_other_implementation(
        content in prop::collection::vec(any::<u8>(), 0..20_000),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        nonce: Nonce,
        name in "[a-zA-Z\u{80}-\u{10ffff}\" ]{1,20}",
    ) {
        prop_assume!(!name.contains(char::is_control));
        let object = seal(nonce, &name, &cut(&content, &places));
        prop_assert_eq!(&object, &oracle(nonce, &name, &content));
        let opener = check(&key(), &object, 1 + content.len() / 3).unwrap();
        prop_assert_eq!(opener.filename(), name);
        let parts = cut(&content, &places);
        let mut at = 0;
        for part in parts {
            let end = at + part.len() as u64;
            prop_assert_eq!(read(&opener, &object, at..end), part);
            at = end;
        }
        let other = Key::of_secret(Some("other"));
        prop_assert_eq!(check(&other, &object, 999).unwrap_err(), SealError::Refused);
    }

    #[test]
    fn a_changed_byte_is_refused(
        content in prop::collection::vec(any::<u8>(), 0..5000),
        place: prop::sample::Index,
        change in 1..=255_u8,
    ) {
        let mut object = seal([3; 12], "name", &[&content]);
        let place = place.index(object.len());
        object[place] ^= change;
        prop_assert!(check(&key(), &object, 1000).is_err());
    }

    #[test]
    fn hostile_objects_are_refused_without_a_panic(object in prop::collection::vec(any::<u8>(), 0..200), piece in 1..50_usize) {
        prop_assert!(check(&key(), &object, piece).is_err());
    }
}
