// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {AccessManaged} from "@openzeppelin/contracts/access/manager/AccessManaged.sol";
import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ERC20Capped} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Capped.sol";
import {ERC20Permit, IERC20Permit, Nonces} from "@openzeppelin/contracts/token/ERC20/extensions/ERC20Permit.sol";
import {IMedinaToken} from "./interfaces/IMedinaToken.sol";

/// @notice See IMedinaToken.
contract MedinaToken is IMedinaToken, ERC20Capped, ERC20Permit, AccessManaged {
    address public immutable override treasury;

    constructor(string memory name, string memory symbol, uint256 cap, address treasury_, address authority)
        ERC20(name, symbol)
        ERC20Permit(name)
        ERC20Capped(cap)
        AccessManaged(authority)
    {
        treasury = treasury_;
    }

    function mint(address to, uint256 amount) external restricted {
        _mint(to, amount);
    }

    function burn(uint256 amount) external {
        _burn(msg.sender, amount);
    }

    function nonces(address owner) public view override(IERC20Permit, ERC20Permit) returns (uint256) {
        return super.nonces(owner);
    }

    function _update(address from, address to, uint256 value) internal override(ERC20, ERC20Capped) {
        super._update(from, to, value);
    }
}
