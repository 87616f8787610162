use super::*;

fn keys() -> [NodeKey; 4] {
    [1, 2, 3, 4].map(|seed| NodeKey::from_secret_bytes(&[seed; 32]).unwrap())
}

#[test]
fn one_receiver_opens_and_nobody_else() {
    let [alice, bob, eve, _] = keys();
    let sealed = alice
        .encrypt("bună ziua", &bob.address(), &mut rand::thread_rng())
        .unwrap();
    assert_eq!(bob.decrypt(&sealed, &alice.address()).unwrap(), "bună ziua");
    assert_eq!(
        eve.decrypt(&sealed, &alice.address()),
        Err(EncryptionError::Sealed(alice.address()))
    );
    assert_eq!(
        bob.decrypt(&sealed, &eve.address()),
        Err(EncryptionError::Sealed(eve.address()))
    );
    let again = alice
        .encrypt("bună ziua", &bob.address(), &mut rand::thread_rng())
        .unwrap();
    assert_ne!(sealed, again, "the nonce is new each time");
}

#[test]
fn each_of_many_receivers_opens_and_nobody_else() {
    let [alice, bob, carol, eve] = keys();
    let receivers = [bob.address(), carol.address()];
    let sealed = alice
        .encrypt_for_many("to both", &receivers, &mut rand::thread_rng())
        .unwrap();
    for receiver in [&bob, &carol] {
        assert_eq!(receiver.decrypt(&sealed, &alice.address()).unwrap(), "to both");
    }
    assert_eq!(
        eve.decrypt(&sealed, &alice.address()),
        Err(EncryptionError::NotForUs(eve.address()))
    );
    assert_eq!(
        bob.decrypt(&sealed, &eve.address()),
        Err(EncryptionError::Sealed(eve.address()))
    );
    assert_eq!(
        alice.encrypt_for_many("x", &[], &mut rand::thread_rng()),
        Err(EncryptionError::Receivers(0))
    );
}

#[test]
fn every_changed_byte_is_noticed_but_the_flag() {
    let [alice, bob, ..] = keys();
    let sealed = alice
        .encrypt("secret", &bob.address(), &mut rand::thread_rng())
        .unwrap();
    let bytes = STANDARD.decode(&sealed).unwrap();
    for index in (0..bytes.len()).filter(|index| *index != NONCE_BYTES) {
        let mut changed = bytes.clone();
        changed[index] ^= 1;
        assert!(
            bob.decrypt(&STANDARD.encode(changed), &alice.address()).is_err(),
            "byte {index}"
        );
    }
}

#[test]
fn a_bomb_is_not_inflated_beyond_the_limit() {
    let [alice, bob, ..] = keys();
    let bomb = deflate(&vec![0; MAX_TEXT_BYTES + 1]);
    let cipher = alice.shared_cipher(&bob.address()).unwrap();
    let nonce = [0; NONCE_BYTES];
    let mut sealed = nonce.to_vec();
    sealed.push(COMPRESSED);
    sealed.extend(seal(&cipher, &nonce, &bomb));
    assert_eq!(
        bob.decrypt(&STANDARD.encode(sealed), &alice.address()),
        Err(EncryptionError::TooLong(MAX_TEXT_BYTES))
    );
}

#[test]
fn rubbish_is_refused_without_panic() {
    let [alice, bob, ..] = keys();
    for rubbish in ["", "!", "AAAA", "eJwDAAAAAAE=", "AAAAAAAAAAAAAAAAAA=="] {
        assert!(bob.decrypt(rubbish, &alice.address()).is_err(), "{rubbish}");
    }
    let hostile = STANDARD.encode(deflate(
        br#"{"M":true,"c":"zz","n":"","d":"","k":[{"a":"","k":""}]}"#,
    ));
    assert_eq!(
        bob.decrypt(&hostile, &alice.address()),
        Err(EncryptionError::NotForUs(bob.address()))
    );
}
