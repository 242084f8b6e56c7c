// Hears from the server when something has been found, for as long as the page waits for anything.

const LOOK_EVERY = 15000; // milliseconds between looks while the stream is broken

/** A stream of server-sent events that is open only while it is wanted: browsers allow few to one server. */
export class ContextLive {
  /** @param {(news: {spectrum?: string, panel?: string}) => void} heard */
  constructor(address, heard) {
    this.address = address;
    this.heard = heard;
    this.wanted = false;
    this.source = null;
    this.timer = null;
    document.addEventListener("visibilitychange", () => this.settle());
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", () => this.settle());
  }

  /** Whether anything is waited for. */
  want(wanted) {
    this.wanted = wanted;
    this.settle();
  }

  settle() {
    if (!this.wanted || document.hidden) this.close();
    else if (!this.source) this.open();
  }

  open() {
    this.source = new EventSource(this.address);
    this.source.addEventListener("context", (event) => this.heard(JSON.parse(event.data)));
    this.source.addEventListener("open", () => {
      clearInterval(this.timer);
      this.timer = null;
      this.heard({}); // something may have come before the stream was there
    });
    this.source.addEventListener("error", () => {
      this.timer ??= setInterval(() => this.wanted && !document.hidden && this.heard({}), LOOK_EVERY);
      if (this.source?.readyState === EventSource.CLOSED) this.source = null; // refused: no try by itself follows
    });
  }

  close() {
    clearInterval(this.timer);
    this.timer = null;
    this.source?.close();
    this.source = null;
  }
}
