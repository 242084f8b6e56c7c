// Where a browser keeps actions until the server has them: its data base, or else, where it keeps nothing, this tab.

const WAITING = "actions";
const REFUSED = "refused";

function request(operation) {
  return new Promise((resolve, reject) => {
    operation.onsuccess = () => resolve(operation.result);
    operation.onerror = () => reject(operation.error);
  });
}

/** Resolves when what a transaction wrote is on the disk. */
function complete(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error ?? new Error("the browser gave the transaction up"));
  });
}

class Lasting {
  lasting = true;

  constructor(database) {
    this.database = database;
  }

  write(...stores) {
    return this.database.transaction(stores, "readwrite", { durability: "strict" });
  }

  async add(action) {
    const transaction = this.write(WAITING);
    transaction.objectStore(WAITING).add({ ...action });
    await complete(transaction);
  }

  waiting() {
    return request(this.database.transaction(WAITING).objectStore(WAITING).getAll());
  }

  refused() {
    return request(this.database.transaction(REFUSED).objectStore(REFUSED).getAll());
  }

  async settle(actions, refused) {
    const transaction = this.write(WAITING, REFUSED);
    for (const { order } of actions) transaction.objectStore(WAITING).delete(order);
    for (const action of refused) transaction.objectStore(REFUSED).add(action);
    await complete(transaction);
  }

  async forget() {
    const transaction = this.write(REFUSED);
    transaction.objectStore(REFUSED).clear();
    await complete(transaction);
  }
}

class Passing {
  lasting = false;
  actions = [];
  unwanted = [];
  order = 0;

  async add(action) {
    this.order += 1;
    this.actions.push({ ...action, order: this.order });
  }

  async waiting() {
    return [...this.actions];
  }

  async refused() {
    return [...this.unwanted];
  }

  async settle(actions, refused) {
    const gone = new Set(actions.map((action) => action.order));
    this.actions = this.actions.filter((action) => !gone.has(action.order));
    this.unwanted.push(...refused);
  }

  async forget() {
    this.unwanted = [];
  }
}

/** The store of a name; `lasting` says whether it outlives the tab. */
export async function openStore(name) {
  try {
    const opening = indexedDB.open(name, 1);
    opening.onupgradeneeded = () => {
      for (const store of [WAITING, REFUSED]) {
        opening.result.createObjectStore(store, { keyPath: "order", autoIncrement: true });
      }
    };
    return new Lasting(await request(opening));
  } catch {
    return new Passing();
  }
}
