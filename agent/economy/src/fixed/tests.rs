use num_bigint as num;
use proptest::prelude::*;

use super::*;

fn raw(text: &str) -> Fixed {
    let digits = text.trim_start_matches('-');
    Fixed::from_parts(text.starts_with('-'), U256::from_str_radix(digits, 10).unwrap()).unwrap()
}

/// e^|x| with 18 decimals by its series, in integers with 600 binary digits behind the point; for a negative
/// x its inverse. The error is far below one unit of the 18th decimal.
fn reference_exp(x: Fixed) -> num::BigUint {
    use num::BigUint;
    const DIGITS: u32 = 600;
    let one = BigUint::from(1u8) << DIGITS;
    let unit = BigUint::from(UNIT);
    let x_scaled = (BigUint::from_bytes_be(&x.magnitude().to_be_bytes::<32>()) << DIGITS) / &unit;
    let (mut sum, mut term, mut n) = (one.clone(), one.clone(), 1u32);
    while term > BigUint::ZERO {
        term = ((term * &x_scaled) >> DIGITS) / n;
        sum += &term;
        n += 1;
    }
    if x.is_negative() {
        sum = (&one << DIGITS) / sum;
    }
    (sum * unit) >> DIGITS
}

#[test]
fn known_values() {
    assert_eq!(raw("0").exp().unwrap(), Fixed::ONE);
    assert_eq!(
        raw("-1000000000000000000").exp().unwrap(),
        raw("367879441171442321")
    );
    assert_eq!(
        raw("500000000000000000").exp2().unwrap(),
        raw("1414213562373095048")
    );
    assert_eq!(raw("-41446531673892822323").exp().unwrap(), Fixed::ZERO);
    assert_eq!(
        raw("133084258667509499441").exp().unwrap_err().revert(),
        "PRBMath_SD59x18_Exp_InputTooBig"
    );
    assert_eq!(
        Fixed::ONE.checked_div(Fixed::ZERO).unwrap_err().revert(),
        "panic 0x12"
    );
    let least = Fixed::from_parts(true, U256::from(1) << 255).unwrap();
    assert_eq!(
        least.checked_mul(Fixed::ONE).unwrap_err().revert(),
        "PRBMath_SD59x18_Mul_InputTooSmall"
    );
    let most = Fixed::from_raw(U256::MAX >> 1).unwrap();
    assert_eq!(
        most.checked_mul(most).unwrap_err().revert(),
        "PRBMath_SD59x18_Mul_Overflow"
    );
    assert_eq!(
        most.checked_div(raw("1")).unwrap_err().revert(),
        "PRBMath_SD59x18_Div_Overflow"
    );
    assert_eq!(FACTORS[0], U256::from(0x1_6A09_E667_F3BC_C909_u128));
    assert_eq!(FACTORS[63], U256::from(0x1_0000_0000_0000_0001_u128));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    /// The exponent is cut to 18 decimals when it goes from base e to base 2 and to 64 binary digits after that, so the
    /// result may be too small by 2 units of 10^-18 of itself, and 64 products are cut: 2^-127 each. Never too large
    /// by more than the rounding of the factors.
    #[test]
    fn exp_is_the_series_up_to_its_own_rounding(negative: bool, magnitude in 0u128..=EXP_MAX) {
        let magnitude = if negative { magnitude % EXP_MIN } else { magnitude };
        let x = Fixed::from_parts(negative, U256::from(magnitude)).unwrap();
        let ours = num::BigUint::from_bytes_be(&x.exp().unwrap().magnitude().to_be_bytes::<32>());
        let exact = reference_exp(x);
        let difference = if ours > exact { &ours - &exact } else { &exact - &ours };
        // Relative error in units of 10^-18, rounded up: log2(e) has 18 decimals, so x * 5e-19 * ln 2 comes on top.
        let relative = num::BigUint::from(magnitude / u128::from(UNIT) + 4);
        let bound = (&exact * relative) / num::BigUint::from(UNIT) + num::BigUint::from(2u8);
        prop_assert!(difference <= bound, "{x}: {ours} and {exact}");
    }

    #[test]
    fn mul_and_div_truncate_toward_zero(a: i128, b: i128) {
        let fixed = |v: i128| Fixed::from_parts(v < 0, U256::from(v.unsigned_abs())).unwrap();
        let big = |v: i128| num::BigInt::from(v);
        let read = |f: Fixed| {
            let m = num::BigInt::from(num::BigUint::from_bytes_be(&f.magnitude().to_be_bytes::<32>()));
            if f.is_negative() { -m } else { m }
        };
        prop_assert_eq!(read(fixed(a).checked_mul(fixed(b)).unwrap()), big(a) * big(b) / big(UNIT.into()));
        if b != 0 {
            prop_assert_eq!(read(fixed(a).checked_div(fixed(b)).unwrap()), big(a) * big(UNIT.into()) / big(b));
        }
        prop_assert_eq!(read(fixed(a).checked_add(fixed(b)).unwrap()), big(a) + big(b));
        prop_assert_eq!(read(fixed(a).checked_sub(fixed(b)).unwrap()), big(a) - big(b));
    }
}
