// Pages are numbered from 1.

export function pageCount(items, size) {
  // Rounded up: the last page may be shorter than the others.
  return Math.ceil(items.length / size);
}

export function page(items, number, size) {
  if (number < 1 || number > pageCount(items, size)) {
    return [];
  }
  return items.slice((number - 1) * size, number * size);
}
