//! MedinaToken: cap, minting, burning and permits.

use crate::harness::{Chain, TOKEN, sign};
use alloy_primitives::{Address, B256, U256};
use medina_contracts::{
    eip712,
    medina_token::MedinaToken::{self, *},
};

#[test]
fn genesis_holders_own_the_supply() {
    let chain = Chain::new();
    let supply = chain.view(chain.at.medina_token, &totalSupplyCall {});
    let held: u128 = (0..10)
        .map(|index| chain.balance(chain.account(index)))
        .sum();
    assert_eq!(supply, U256::from(held));
    assert_eq!(held, 10 * 1_000_000 * TOKEN);
    assert_eq!(
        chain.view(chain.at.medina_token, &treasuryCall {}),
        chain.account(0)
    );
}

#[test]
fn only_a_minter_mints_and_never_past_the_cap() {
    let mut chain = Chain::new();
    let token = chain.at.medina_token;
    let to = chain.account(3);
    chain.fails::<AccessManagedUnauthorized>(
        1,
        token,
        &mintCall {
            to,
            amount: U256::ONE,
        },
    );
    let room = U256::from(990_000_000 * TOKEN);
    chain.fails::<ERC20ExceededCap>(
        0,
        token,
        &mintCall {
            to,
            amount: room + U256::ONE,
        },
    );
    chain.ok(0, token, &mintCall { to, amount: room });
    assert_eq!(chain.balance(to), 991_000_000 * TOKEN);
}

#[test]
fn burning_takes_the_callers_own_tokens_from_the_supply() {
    let mut chain = Chain::new();
    let token = chain.at.medina_token;
    let too_much = burnCall {
        amount: U256::from(1_000_001 * TOKEN),
    };
    chain.fails::<ERC20InsufficientBalance>(1, token, &too_much);
    chain.ok(
        1,
        token,
        &burnCall {
            amount: U256::from(TOKEN),
        },
    );
    assert_eq!(chain.balance(chain.account(1)), 999_999 * TOKEN);
    assert_eq!(
        chain.view(token, &totalSupplyCall {}),
        U256::from(9_999_999 * TOKEN)
    );
}

#[test]
fn permit_is_the_owners_for_this_chain_token_and_time_and_works_once() {
    let mut chain = Chain::new();
    let token = chain.at.medina_token;
    let (owner, spender) = (chain.account(1), chain.account(2));
    let value = U256::from(TOKEN);
    let deadline = U256::from(chain.time + 60);
    let message = eip712::Permit {
        owner,
        spender,
        value,
        nonce: U256::ZERO,
        deadline,
    };
    let call = |signature: &[u8]| permitCall {
        owner,
        spender,
        value,
        deadline,
        v: signature[64],
        r: B256::from_slice(&signature[..32]),
        s: B256::from_slice(&signature[32..64]),
    };
    let by_other = call(&chain.sign(2, "MedinaToken", &message));
    chain.fails::<ERC2612InvalidSigner>(2, token, &by_other);
    let elsewhere = eip712::domain("Medina", 1, token);
    chain.fails::<ERC2612InvalidSigner>(2, token, &call(&sign(chain.key(1), &elsewhere, &message)));
    let elsewhere = eip712::domain("Medina", crate::harness::CHAIN_ID, Address::ZERO);
    chain.fails::<ERC2612InvalidSigner>(2, token, &call(&sign(chain.key(1), &elsewhere, &message)));
    let good = call(&chain.sign(1, "MedinaToken", &message));
    let mut late = chain.clone();
    late.warp(61);
    late.fails::<ERC2612ExpiredSignature>(2, token, &good);
    chain.ok(2, token, &good);
    chain.ok(
        2,
        token,
        &MedinaToken::transferFromCall {
            from: owner,
            to: spender,
            value,
        },
    );
    assert_eq!(chain.balance(spender), 1_000_001 * TOKEN);
    chain.fails::<ERC2612InvalidSigner>(2, token, &good);
}
