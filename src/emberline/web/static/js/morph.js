// Makes a part of the page equal to a newer version of it, touching only what differs: focus, scroll and marks stay.
// Elements with an id are known by it; one with data-keep is the page's own and is left alone.
const KEPT = new Set(["open"]); // what the reader has opened stays open

// Not `node.id`: a form with entries of that name answers with those.
const id_of = (node) => (node.nodeType === Node.ELEMENT_NODE && node.getAttribute("id")) || "";

function same(one, two) {
  return one.nodeType === two.nodeType && one.nodeName === two.nodeName && id_of(one) === id_of(two);
}

function attributes(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !KEPT.has(name)) old.removeAttribute(name);
  }
  for (const { name, value } of fresh.attributes) {
    if (!KEPT.has(name) && old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
}

function children(old, fresh) {
  const known = new Map();
  for (const child of old.children) if (id_of(child)) known.set(id_of(child), child);
  let place = old.firstChild;
  for (const wanted of [...fresh.childNodes]) {
    let found = id_of(wanted) ? known.get(id_of(wanted)) : place;
    if (found && !same(found, wanted)) found = null;
    if (!found) {
      old.insertBefore(document.importNode(wanted, true), place);
      continue;
    }
    if (found !== place) old.insertBefore(found, place);
    place = found.nextSibling;
    morph(found, wanted);
  }
  while (place) {
    const next = place.nextSibling;
    place.remove();
    place = next;
  }
}

export function morph(old, fresh) {
  if (old.isEqualNode(fresh) || old.dataset?.keep !== undefined) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  attributes(old, fresh);
  children(old, fresh);
}
