// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.30;

/// What every client deploys: it stores, tells, and refuses in both ways.
contract Notebook {
    error Full(address writer, uint256 pages);

    event Noted(address indexed writer, uint256 indexed page, string text);

    string public title;
    uint256 public pages;
    mapping(uint256 page => string text) public textOf;

    constructor(string memory title_) {
        title = title_;
    }

    function note(string calldata text) external returns (uint256 page) {
        page = ++pages;
        textOf[page] = text;
        emit Noted(msg.sender, page, text);
    }

    function refuse(string calldata reason) external {
        pages = 0;
        revert(reason);
    }

    function overfill() external {
        uint256 before = pages;
        pages = 0;
        revert Full(msg.sender, before);
    }
}
