// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

import {IERC20} from "@openzeppelin/contracts/token/ERC20/IERC20.sol";
import {IERC20Permit} from "@openzeppelin/contracts/token/ERC20/extensions/IERC20Permit.sol";

/// @title The money of the market: ERC-20 with ERC-2612 permits and a fixed cap, 18 decimals.
interface IMedinaToken is IERC20, IERC20Permit {
    /// @notice MINTER only; the supply never passes the cap. `amount` in token base units.
    function mint(address to, uint256 amount) external;

    /// @notice Destroys the caller's own tokens, token base units.
    function burn(uint256 amount) external;

    /// @notice Where collected fees go.
    function treasury() external view returns (address);
}
