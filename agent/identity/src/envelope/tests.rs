use super::*;

/// Signed by published Ratio1 nodes and by the Python package ratio1 3.5.60: content, hash, sender, EVM address,
/// signature. B has a high s.
const VECTORS: [(&str, &str, &str, &str, &str); 4] = [
    (
        r#"{"nonce":"a14473a1","sender_alias":"test1","sender_app_ver":null,"sender_core_ver":null,"sender_sdk_ver":"2.6.29"}"#,
        "e6a3f87d035b632c119cf1cacf02fcda79887fa24b3fa6355f6ec26b6c6cae70",
        "0xai_AjcIThkOqrPlp35-S8czHUOV-y4mnhksnLs8NGjTbmty",
        "0x13Dc6Ee23D45D1e4bF0BDBDf58BFdF24bB077e69",
        "MEQCIAnXNWxcskr_2zj5kGRFQobJdDVovA57J_WMphFIOCf7AiAkDE7P446N4mQCAO2OAnQvW7PCdLNsRsHvGkBEz-BL4Q==",
    ),
    (
        r#"{"nonce":"74c4629f","sender_alias":"test1","sender_app_ver":"2.7.27","sender_core_ver":"7.6.61","sender_sdk_ver":"2.7.27"}"#,
        "6e8b5267f163d7bdb476cbb75d305c755bfb9534be7aee9083c142d9d371de9c",
        "0xai_AlgFNEkQMDvLLKW4EzxPN038XCH3vAC8ClO73LbG7N8K",
        "0x2f7B47edF44a1eD1ED04099F1beaf1aCb8176498",
        "MEUCIEmnPjCNwsSAlGANkT16IWMV4clYY4RoistByxIBIqJaAiEAsVSFSa3gip4TtiV-35PAjYZLVAdcIjJOJIT7_L4BxUI=",
    ),
    (
        r#"{"nonce":"a780cbf5","sender_alias":"aid01","sender_app_ver":"2.8.90","sender_core_ver":"7.7.1","sender_sdk_ver":"3.3.7"}"#,
        "850c7a12fa7e6d3fe4216613bc8fea67c8d94721d5e18aa3f944f2df970c0c36",
        "0xai_A74xZKZJa4LekjvJ6oJz29qxOOs5nLClXAZEhYv59t3Z",
        "0x37379B80c7657620E5631832c4437B51D67A88cB",
        "MEQCIDm0tMGaXCbd27cvy8Yv6u1PRXbE869C7ae-lT57H3V6AiBBkNJPJgdgHzESvaoRmR8WQeunALkicWsIigfxb0to_Q==",
    ),
    (
        r#"{"SIGN_CANON_V":"v2","a":{"y":[1,2,null],"z":null},"b":1.5,"f":1e+20,"g":10.0,"h":1e-07,"i":{"3":"x"},"u":"Iași"}"#,
        "f7a91360f76c971f9fb82c396ed7aac145575f26ee306b7b420d3277650d5e8b",
        "0xai_A4DlgqyLjwp_15IrAUt2pVRudLlZXffvasnxIi7mXhC4",
        "0x3eee7290AEBf33039AD6409810a6a0eEdA2DCD53",
        "MEUCIQDs8CXEYs7qLYHEiHzQvnFEW3cAOd1mEN4forJYXyINbAIgDZGb04CSdtWVPGkTf29a_nV9dJQbWqFPtuHxT8Ed_W4=",
    ),
];

fn message((content, hash, sender, _, sign): &(&str, &str, &str, &str, &str)) -> Map<String, Value> {
    let mut message = parse(content.as_bytes(), CanonicalLimits::default()).unwrap();
    for (name, value) in [
        (HASH, hash),
        (SENDER, sender),
        (SIGN, sign),
        (ETH_SIGN, &"0xBEEF"),
    ] {
        message.insert(name.to_owned(), (*value).into());
    }
    message
}

fn key() -> NodeKey {
    NodeKey::from_secret_bytes(&[7; 32]).unwrap()
}

fn signed(content: &str) -> Map<String, Value> {
    let mut message = parse(content.as_bytes(), CanonicalLimits::default()).unwrap();
    sign(&key(), &mut message).unwrap();
    message
}

#[test]
fn messages_of_the_real_network_verify() {
    for (vector, version) in VECTORS.iter().zip([
        CanonVersion::Unversioned,
        CanonVersion::Unversioned,
        CanonVersion::Unversioned,
        CanonVersion::Current,
    ]) {
        let verified = verify(&message(vector)).unwrap();
        assert_eq!(hex::encode(verified.hash), vector.1);
        assert_eq!(verified.version, version);
        let eth = PublicKey::try_from(&verified.sender).unwrap().eth_address();
        assert_eq!(eth.to_string(), vector.3);
    }
}

#[test]
fn any_change_to_a_real_message_is_refused() {
    for vector in &VECTORS {
        let mut changed = message(vector);
        changed.insert("nonce".into(), "other".into());
        assert!(matches!(verify(&changed), Err(EnvelopeError::Digest(_))));
        // The digest follows the change, the signature cannot.
        let hash = content_hash(&changed, FloatForm::Current, true, CanonicalLimits::default()).unwrap();
        changed.insert(HASH.into(), hex::encode(hash).into());
        assert!(matches!(
            verify(&changed),
            Err(EnvelopeError::Signature(SignatureError::Invalid(_)) | EnvelopeError::Digest(_))
        ));
    }
}

#[test]
fn our_messages_verify_also_without_digest_field() {
    let mut message = signed(r#"{"b":1.50,"a":[1e20,{"x":"Iași"}]}"#);
    let verified = verify(&message).unwrap();
    assert_eq!(
        (verified.sender, verified.version),
        (key().address(), CanonVersion::Current)
    );

    message.remove(HASH);
    assert!(
        matches!(verify(&message), Err(EnvelopeError::Signature(_))),
        "it signs the hash, not the text"
    );
    let direct = key().sign_der(&verified.hash);
    message.insert(SIGN.into(), BASE64.encode(direct).into());
    assert_eq!(verify(&message).unwrap().hash, verified.hash);
}

#[test]
fn faults_are_named_in_order() {
    let good = signed(r#"{"a":1}"#);
    let with = |name: &str, value: Value| {
        let mut message = good.clone();
        message.insert(name.to_owned(), value);
        verify(&message)
    };
    assert_eq!(with(SENDER, Value::Null), Err(EnvelopeError::NoSender));
    assert_eq!(with(SIGN, Value::Null), Err(EnvelopeError::NoSignature));
    assert_eq!(with(SIGN, "!!".into()), Err(EnvelopeError::SignatureText));
    assert_eq!(with(SIGN, 7.into()), Err(EnvelopeError::SignatureText));
    assert!(matches!(
        with(SENDER, "0xai_x".into()),
        Err(EnvelopeError::Sender(_))
    ));
    assert_eq!(with(SENDER, 7.into()), Err(EnvelopeError::SenderType));
    assert_eq!(
        with(CANON_VERSION, "v3".into()),
        Err(EnvelopeError::CanonVersion("\"v3\"".into()))
    );
    assert!(matches!(
        with(CANON_VERSION, "v1".into()),
        Err(EnvelopeError::Digest(_))
    ));
    assert!(matches!(with(HASH, 7.into()), Err(EnvelopeError::Digest(_))));
    assert!(matches!(
        with(SIGN, "MAYCAQECAQE=".into()),
        Err(EnvelopeError::Signature(_))
    ));
}

#[test]
fn legacy_messages_verify_in_their_own_form_only() {
    let mut message = parse(br#"{"a":10.0}"#, CanonicalLimits::default()).unwrap();
    let hash = Sha256::digest(br#"{"a":10}"#);
    let signature = BASE64.encode(key().sign_der(&Sha256::digest(hash).into()));
    message.insert(SENDER.into(), key().address().to_string().into());
    message.insert(HASH.into(), hex::encode(hash).into());
    message.insert(SIGN.into(), signature.into());
    assert_eq!(verify(&message).unwrap().version, CanonVersion::Legacy);
    message.insert(CANON_VERSION.into(), "v1".into());
    assert_eq!(verify(&message).unwrap().version, CanonVersion::Legacy);
    message.insert(CANON_VERSION.into(), "v2".into());
    assert!(verify(&message).is_err());
}

#[test]
fn hostile_sizes_and_depths_are_refused() {
    let limits = CanonicalLimits {
        max_bytes: 64,
        max_depth: 3,
    };
    assert!(matches!(
        parse(&[b' '; 65], limits),
        Err(EnvelopeError::TooLong { len: 65, max: 64 })
    ));
    assert!(matches!(parse(b"[1]", limits), Err(EnvelopeError::Json(_))));
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    assert!(matches!(
        parse(deep.as_bytes(), CanonicalLimits::default()),
        Err(EnvelopeError::Json(_))
    ));

    let message = signed(r#"{"a":[[[[1]]]]}"#);
    assert!(verify(&message).is_ok());
    assert!(matches!(
        verify_within(&message, limits),
        Err(EnvelopeError::Content(_))
    ));

    let mut too_deep = Map::new();
    let nest = (0..100).fold(Value::Null, |inner, _| Value::Array(vec![inner]));
    too_deep.insert("a".into(), nest);
    assert!(sign(&key(), &mut too_deep).is_err());
    assert_eq!(too_deep.len(), 1, "a refused message is unchanged");
}
