import test from "node:test";
import assert from "node:assert/strict";
import { page, pageCount } from "../src/pages.js";

const letters = ["a", "b", "c", "d", "e", "f", "g"];

test("full pages are counted", () => {
  assert.equal(pageCount(letters.slice(0, 6), 3), 2);
});

test("the last, shorter page is counted too", () => {
  assert.equal(pageCount(letters, 3), 3);
});

test("every item is on some page", () => {
  assert.deepEqual(page(letters, 3, 3), ["g"]);
});

test("an empty list has no page", () => {
  assert.equal(pageCount([], 3), 0);
});

test("a list shorter than a page has one page", () => {
  assert.equal(pageCount(letters.slice(0, 2), 3), 1);
});
