//! The values that a seed gives are documented, and the same on every platform and in every
//! version.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::common::{finish, neutral};
use labrpc::{Address, Kind, Node, RunSpec, World};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The first 64-bit values of the dice of server 0, of server 1, and of the test.
fn first_values(world: &World, count: usize) -> [Vec<u64>; 3] {
    let dice = [
        world.server(0).runtime().dice(),
        world.server(1).runtime().dice(),
        world.tester().workload(0),
    ];
    dice.map(|mut dice| (0..count).map(|_| dice.next_u64()).collect())
}

/// The constants were computed with an independent implementation of the published ChaCha8
/// algorithm.
#[test]
fn the_first_values_of_a_seed_are_fixed() {
    let expected = [
        (
            0,
            [
                [0x9ffc_d74e_bcaa_d907, 0x3f3b_0f80_9d71_ad1a, 0xc298_594e_f9d8_53a5],
                [0xcce5_89f1_7033_b571, 0xb254_de55_f2fd_d834, 0xe9b0_55f5_4556_1232],
                [0x8cc1_3144_20dd_5296, 0x9c8f_f895_f265_bf00, 0x2dbc_5d0b_a348_306d],
            ],
        ),
        (
            42,
            [
                [0xa8e7_812f_9512_31bd, 0x9405_85e8_493f_a3fb, 0xc6eb_25d3_c72d_6587],
                [0xcd08_d750_3589_420e, 0xbaf2_eada_f308_c8b8, 0x43d4_ece1_1373_c72a],
                [0x41df_1985_4545_3e4f, 0x674c_9443_30c8_daed, 0xbb25_7bbf_a2dc_3503],
            ],
        ),
    ];
    for (seed, values) in expected {
        let drawn = finish(RunSpec::seed(seed), |world| async move { first_values(&world, 3) });
        assert_eq!(drawn, values, "seed {seed}");
    }
}

/// The value of a sequence at an address, computed directly with `rand_chacha`.
fn value_at(seed: u64, address: Address) -> u64 {
    let mut root = ChaCha8Rng::seed_from_u64(seed);
    root.set_word_pos(8 * address.kind as u128);
    let mut key = [0; 32];
    root.fill_bytes(&mut key);
    let mut generator = ChaCha8Rng::from_seed(key);
    generator.set_stream(u64::from(address.from) << 32 | u64::from(address.to));
    generator.set_word_pos(2 * u128::from(address.n));
    generator.next_u64()
}

#[test]
fn each_value_of_a_sequence_can_be_computed_from_its_address() {
    const COUNT: usize = 200;
    for seed in [1, 2, u64::MAX] {
        let drawn = finish(RunSpec::seed(seed), |world| async move { first_values(&world, COUNT) });
        let parties = [
            (Kind::Dice, Node::server(0)),
            (Kind::Dice, Node::server(1)),
            (Kind::Workload, Node::TESTER),
        ];
        for (values, (kind, node)) in drawn.iter().zip(parties) {
            for (n, &value) in values.iter().enumerate() {
                let address = Address { kind, from: node.raw(), to: 0, n: n as u64 };
                assert_eq!(value, value_at(seed, address), "seed {seed}, {address}");
            }
        }
    }
}

#[test]
fn overrides_and_a_second_seed_do_not_renumber_the_other_values() {
    let dice = |n| Address { kind: Kind::Dice, from: 0, to: 0, n };
    let mut spec = neutral(RunSpec::seed(1), &[Kind::Dice]);
    spec.overrides.insert(dice(3), 777);
    spec.redraw = Some((Duration::from_secs(1), 2));
    let drawn = finish(spec, |world| async move {
        let mut dice = world.server(0).runtime().dice();
        let mut values: Vec<u64> = (0..50).map(|_| dice.next_u64()).collect();
        world.tester().sleep(Duration::from_secs(1)).await;
        values.extend((50..100).map(|_| dice.next_u64()));
        values
    });
    for (n, value) in (0..).zip(drawn) {
        let expected = match n {
            3 => 777,
            0..50 => value_at(1, dice(n)),
            _ => value_at(2, dice(n)),
        };
        assert_eq!(value, expected, "value {n}");
    }
}

/// All random bytes of the standard library come from a single decision, which can be overridden
/// like any other.
#[test]
#[cfg(target_os = "linux")]
#[allow(clippy::disallowed_types, reason = "its order is the subject")]
fn the_order_of_a_hash_map_is_a_single_decision() {
    use std::collections::HashMap;
    let order = |spec| {
        finish(spec, |_| async { (0..50).map(|i| (i, ())).collect::<HashMap<i32, ()>>() })
            .into_keys()
            .collect::<Vec<i32>>()
    };
    let address = Address { kind: Kind::Entropy, from: Node::TESTER.raw(), to: 0, n: 0 };
    let orders: BTreeSet<Vec<i32>> = (0..20).map(|seed| order(RunSpec::seed(seed))).collect();
    assert_eq!(orders.len(), 20);
    for seed in [2, 3] {
        let mut spec = RunSpec::seed(1);
        spec.overrides.insert(address, value_at(seed, address));
        assert_eq!(order(spec), order(RunSpec::seed(seed)));
    }
}
