use super::*;

fn params() -> NdParams {
    crate::NetworkParams::preset("mainnet").unwrap().nd
}

fn pays(claimed: u128, availabilities: &[u8]) -> String {
    explain(
        &params(),
        U256::from(claimed),
        (1..).zip(availabilities.iter().copied()),
    )
    .pays
    .to_string()
}

#[test]
fn an_epoch_pays_by_availability_rounded_down() {
    assert_eq!(nd_credit(&params(), 0), U256::ZERO);
    assert_eq!(nd_credit(&params(), 255), params().reward_per_epoch);
    // 1458508188386985115 / 255 = 5719639954458765.15...
    assert_eq!(nd_credit(&params(), 1), U256::from(5_719_639_954_458_765_u64));
}

#[test]
fn claims_pay_what_the_contract_pays() {
    // Measured: NDContract.calculateRewards of Ratio1/ratio1-sc c1bc3c14bf17 in an EVM.
    const ALMOST_ALL: u128 = 1_575_188_843_457_943_925_232;
    assert_eq!(pays(0, &[254]), "1452788548432526349");
    assert_eq!(pays(0, &[128]), "732113914170721940");
    assert_eq!(pays(0, &[255; 3]), "4375524565160955345");
    assert_eq!(pays(0, &[250, 130, 178, 12, 0]), "3260194774041496137");
    assert_eq!(pays(0, &[255; 30]), "43755245651609553450");
    assert_eq!(pays(0, &[255; 1080]), "1575188843457943924200");
    assert_eq!(pays(0, &[254; 1200]), "1575188843457943925233");
    assert_eq!(pays(ALMOST_ALL, &[250, 130, 178, 12, 0]), "1");
    assert_eq!(pays(ALMOST_ALL, &[0; 4]), "0");
    assert_eq!(pays(ALMOST_ALL + 1, &[255; 3]), "0");
}

#[test]
fn the_cap_ends_the_licence_after_1080_epochs_and_1033_wei() {
    let all = nd_credit(&params(), 255) * U256::from(1080);
    assert_eq!(params().cap - all, U256::from(1033));
    assert_eq!(U256::from(5000).min(nd_room(&params(), all)), U256::from(1033));
    assert_eq!(nd_room(&params(), params().cap), U256::ZERO);
}

#[test]
fn an_explanation_reads_line_by_line() {
    let text = explain(&params(), U256::ZERO, [(7, 255), (8, 1)]).to_string();
    assert_eq!(
        text,
        "epoch 7: availability 255/255 earns 1.458508188386985115 R1, together 1.458508188386985115 R1\n\
         epoch 8: availability 1/255 earns 0.005719639954458765 R1, together 1.46422782834144388 R1\n\
         a claim pays 1.46422782834144388 R1 of at most 1575.188843457943925233 R1"
    );
    let text = explain(&params(), params().cap, [(7, 255)]).to_string();
    assert!(
        text.ends_with("pays 0 R1 of at most 0 R1 (the rest is above the licence's cap)"),
        "{text}"
    );
}
