//! Forged certificates.

use r1_oraclesync::{Certificate, CertificateError, Signature, ValidatorSet, network_hash};

use crate::samples::{certificate, domain, genesis, key, oracles};

const VALUE: [u8; 32] = [7; 32];

fn verify(certificate: &Certificate) -> Result<(), CertificateError> {
    certificate.verify(&domain(), &ValidatorSet::from_genesis(&genesis()).unwrap())
}

#[test]
fn three_of_four_are_enough_and_two_are_not() {
    assert_eq!(verify(&certificate(&oracles(), 5, 0, VALUE)), Ok(()));
    assert_eq!(verify(&certificate(&oracles()[1..], 5, 0, VALUE)), Ok(()));
    let two = verify(&certificate(&oracles()[..2], 5, 0, VALUE));
    assert_eq!(
        two,
        Err(CertificateError::TooFew {
            height: 5,
            signed: 2,
            oracles: 4
        })
    );
    let none = verify(&certificate(&[], 5, 0, VALUE));
    assert_eq!(
        none,
        Err(CertificateError::TooFew {
            height: 5,
            signed: 0,
            oracles: 4
        })
    );
}

#[test]
fn one_signer_listed_three_times_counts_for_nothing() {
    let one = oracles()[0].clone();
    let forged = certificate(&[one.clone(), one.clone(), one.clone()], 5, 0, VALUE);
    assert_eq!(
        verify(&forged),
        Err(CertificateError::Twice {
            height: 5,
            signer: one.eth()
        })
    );
}

#[test]
fn a_stranger_is_no_signer() {
    let mut signers = oracles();
    signers.push(key(9));
    let signer = key(9).eth();
    assert_eq!(
        verify(&certificate(&signers, 5, 0, VALUE)),
        Err(CertificateError::Stranger { height: 5, signer })
    );
}

#[test]
fn a_signature_is_for_one_height_round_value_and_signer() {
    let good = certificate(&oracles(), 5, 0, VALUE);
    for forged in [
        Certificate {
            height: 6,
            ..good.clone()
        },
        Certificate {
            round: 1,
            ..good.clone()
        },
        Certificate {
            value_id: [8; 32],
            ..good.clone()
        },
    ] {
        assert!(
            matches!(verify(&forged), Err(CertificateError::Signature { .. })),
            "{forged:?}"
        );
    }
    let mut swapped = good.clone();
    swapped.signatures[0].1 = good.signatures[1].1;
    assert!(matches!(
        verify(&swapped),
        Err(CertificateError::Signature { .. })
    ));
}

#[test]
fn the_other_root_of_a_signature_is_refused() {
    let mut forged = certificate(&oracles(), 5, 0, VALUE);
    let raw = k256::ecdsa::Signature::from_slice(&forged.signatures[0].1.to_bytes()).unwrap();
    let (r, s) = raw.split_scalars();
    let high = k256::ecdsa::Signature::from_scalars(r.to_bytes(), (-*s).to_bytes()).unwrap();
    let bytes: [u8; 64] = high.to_bytes().into();
    forged.signatures[0].1 = Signature::from_bytes(&bytes);
    assert!(
        matches!(verify(&forged), Err(CertificateError::Signature { .. })),
        "high s"
    );
    forged.signatures[0].1 = Signature::from_bytes(&[0; 64]);
    assert!(
        matches!(verify(&forged), Err(CertificateError::Signature { .. })),
        "zero"
    );
}

#[test]
fn a_network_is_what_decides_not_where_it_runs() {
    let first = genesis();
    let mut moved = first.clone();
    moved.oracles.reverse();
    moved.oracles[0].consensus_addr = "/ip4/10.0.0.1/tcp/1".to_owned();
    assert_eq!(network_hash(&first), network_hash(&moved));
    let mut other = first.clone();
    other.epoch.length_ms += 1;
    assert_ne!(network_hash(&first), network_hash(&other));
    let mut other = first.clone();
    other.licences[0].id += 1;
    assert_ne!(network_hash(&first), network_hash(&other));
}

#[test]
fn oracles_take_turns() {
    let set = ValidatorSet::from_genesis(&genesis()).unwrap();
    let turns: Vec<_> = (1..=4)
        .map(|height| set.proposer(height, 0).unwrap().eth)
        .collect();
    assert_eq!(
        turns,
        set.oracles().iter().map(|oracle| oracle.eth).collect::<Vec<_>>()
    );
    assert_eq!(set.proposer(1, 1), set.proposer(2, 0));
    assert!(set.proposer(u64::MAX, u32::MAX).is_some());
    assert_eq!(ValidatorSet::new([]).unwrap().proposer(1, 0), None);
}
