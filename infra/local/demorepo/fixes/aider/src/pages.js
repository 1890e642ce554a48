// Pages are numbered from 1.

export function pageCount(items, size) {
  const full = Math.floor(items.length / size);
  return items.length % size === 0 ? full : full + 1;
}

export function page(items, number, size) {
  if (number < 1 || number > pageCount(items, size)) {
    return [];
  }
  return items.slice((number - 1) * size, number * size);
}
