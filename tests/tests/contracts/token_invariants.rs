//! The token under random holders: whatever they try, all balances are the supply, the supply is under the cap, and only
//! minting and burning move it. Time jumps and the market's upgrades in between change nothing.

use crate::{
    actors::{Module, three_organisations, upgrade},
    harness::{Chain, TOKEN},
};
use alloy_primitives::{Address, U256};
use alloy_sol_types::SolCall;
use medina_contracts::medina_token::MedinaToken::*;
use proptest::prelude::*;

const ACTORS: usize = 10;

#[derive(Clone, Debug)]
enum Action {
    Wait(u64),
    Upgrade,
    Transfer {
        to: usize,
        amount: U256,
    },
    Approve {
        to: usize,
        amount: U256,
    },
    TransferFrom {
        from: usize,
        to: usize,
        amount: U256,
    },
    Mint {
        to: usize,
        amount: U256,
    },
    Burn {
        amount: U256,
    },
}

fn action() -> impl Strategy<Value = (usize, Action)> {
    let actor = 0..ACTORS;
    let amount = prop_oneof![
        4 => (0_u128..2_000_000).prop_map(|tokens| U256::from(tokens * TOKEN)),
        1 => (0_u128..2_000_000_000).prop_map(|tokens| U256::from(tokens * TOKEN)),
        1 => Just(U256::MAX),
        1 => Just(U256::ZERO),
    ];
    let what = prop_oneof![
        1 => (1_u64..10_000_000).prop_map(Action::Wait),
        1 => Just(Action::Upgrade),
        4 => (actor.clone(), amount.clone()).prop_map(|(to, amount)| Action::Transfer { to, amount }),
        2 => (actor.clone(), amount.clone()).prop_map(|(to, amount)| Action::Approve { to, amount }),
        3 => (actor.clone(), actor.clone(), amount.clone())
            .prop_map(|(from, to, amount)| Action::TransferFrom { from, to, amount }),
        3 => (actor.clone(), amount.clone()).prop_map(|(to, amount)| Action::Mint { to, amount }),
        2 => amount.prop_map(|amount| Action::Burn { amount }),
    ];
    (prop_oneof![1 => Just(0), 2 => actor], what)
}

fn balances(chain: &Chain) -> U256 {
    let holders = (0..ACTORS).map(|index| chain.account(index));
    let all = holders.chain([chain.at.data_marketplace, chain.at.sla_registry]);
    let of = |account: Address| chain.view(chain.at.medina_token, &balanceOfCall { account });
    all.map(of).sum()
}

fn act(chain: &mut Chain, actor: usize, action: &Action) -> bool {
    let (from, at) = (chain.account(actor), chain.at.medina_token);
    let of = |index: usize| chain.account(index);
    let data = match action {
        Action::Wait(time) => {
            chain.warp(*time);
            return true;
        }
        Action::Upgrade => {
            upgrade(chain, Module::Market);
            return true;
        }
        Action::Transfer { to, amount } => transferCall {
            to: of(*to),
            value: *amount,
        }
        .abi_encode(),
        Action::Approve { to, amount } => approveCall {
            spender: of(*to),
            value: *amount,
        }
        .abi_encode(),
        Action::TransferFrom { from, to, amount } => transferFromCall {
            from: of(*from),
            to: of(*to),
            value: *amount,
        }
        .abi_encode(),
        Action::Mint { to, amount } => mintCall {
            to: of(*to),
            amount: *amount,
        }
        .abi_encode(),
        Action::Burn { amount } => burnCall { amount: *amount }.abi_encode(),
    };
    chain.call_data(from, at, data.into()).success
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn balances_are_the_supply_after_any_history(
        actions in proptest::collection::vec(action(), 1..60)
    ) {
        let mut chain = three_organisations();
        let at = chain.at.medina_token;
        let cap = chain.view(at, &capCall {});
        let mut supply = chain.view(at, &totalSupplyCall {});
        for (actor, action) in &actions {
            let is_done = act(&mut chain, *actor, action);
            match action {
                Action::Mint { amount, .. } if is_done => {
                    prop_assert_eq!(*actor, 0, "only the minter mints");
                    supply += *amount;
                }
                Action::Burn { amount } if is_done => supply -= *amount,
                _ => {}
            }
            prop_assert_eq!(chain.view(at, &totalSupplyCall {}), supply);
            prop_assert_eq!(balances(&chain), supply);
            prop_assert!(supply <= cap);
        }
    }
}
