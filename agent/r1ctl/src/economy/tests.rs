use r1_economy::{NetworkParams, bank::Asset};

use super::*;

#[test]
fn job_types_are_found_by_number_and_name() {
    let params = json!(NetworkParams::preset("local").unwrap());
    assert_eq!(job_type(&params, "1").unwrap(), (1, U256::from(375_000)));
    assert_eq!(
        job_type(&params, "g_ultra_n_ultra").unwrap(),
        (40, U256::from(43_333_333))
    );
    assert!(
        job_type(&params, "PGSQL_LOW")
            .unwrap_err()
            .to_string()
            .contains("no longer offered")
    );
    assert!(
        job_type(&params, "99")
            .unwrap_err()
            .to_string()
            .contains("does not exist")
    );
}

#[test]
fn nodes_are_named_by_address_or_alias_and_sorted() {
    let (low, high) = (
        "0x0000000000000000000000000000000000000001",
        "0x0000000000000000000000000000000000000002",
    );
    let answer = json!({ "nodes": [
        { "address": "0xai_B", "alias": "b", "eth_address": high },
        { "address": "0xai_A", "alias": "a", "eth_address": low },
        { "address": "0xai_C", "alias": "twin", "eth_address": low },
        { "address": "0xai_D", "alias": "twin", "eth_address": high },
    ]});
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let found = resolve(&answer, &names(&["b", "0xai_A", low])).unwrap();
    assert_eq!(found, [low.parse().unwrap(), high.parse().unwrap()]);
    assert!(
        resolve(&answer, &names(&["twin"]))
            .unwrap_err()
            .to_string()
            .contains("2 nodes are called")
    );
    assert!(
        resolve(&answer, &names(&["nobody"]))
            .unwrap_err()
            .to_string()
            .contains("0 nodes")
    );
    assert_eq!(resolve(&answer, &[]).unwrap(), []);
}

#[test]
fn the_least_that_is_accepted_follows_the_price_the_fee_and_the_slippage() {
    let half = U256::from(500_000_000_000_000_000_u64);
    let usdc = amount::parse("1", Asset::Usdc).unwrap();
    let r1 = amount::parse("2", Asset::R1).unwrap();
    assert_eq!(amount::show(least_r1(usdc, half, 0).unwrap(), Asset::R1), "1.994");
    assert_eq!(
        amount::show(least_r1(usdc, half, 50).unwrap(), Asset::R1),
        "0.997"
    );
    assert_eq!(
        amount::show(least_usdc(r1, half, 0).unwrap(), Asset::Usdc),
        "0.997"
    );
    assert!(least_r1(usdc, U256::ZERO, 3).is_err());
}

#[test]
fn answers_are_shown_to_people() {
    let job = json!({ "jobs": [{ "id": 7, "state": "running", "job_type": 1, "active_nodes": ["0x1"], "nodes_requested": 2,
        "price": "375000", "started": true, "last_allocated_epoch": 3, "last_execution_epoch": 9, "balance": "1500000",
        "escrow": "0x2" }] });
    let lines = show::jobs(&job).join("\n");
    assert!(
        lines.contains("running") && lines.contains("1/2") && lines.contains("0.375"),
        "{lines}"
    );
    let types = show::types(&json!(NetworkParams::preset("local").unwrap())).join("\n");
    assert!(
        types.contains("ENTRY") && types.contains("no longer offered"),
        "{types}"
    );
    let escrow = json!({ "owner": "0x2", "balance": "1", "deposited": "3", "paid": "1", "burned": "1", "refunded": "0",
        "delegates": [{ "account": "0x3", "permissions": 9 }] });
    let lines = show::escrow(&escrow).join("\n");
    assert!(lines.contains("0x3 may create, redeem"), "{lines}");
}
