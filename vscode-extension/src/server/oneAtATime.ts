/**
 * Work that must not overlap itself: one runs, at most one waits, and whoever asks meanwhile shares the waiting one.
 * A burst of reasons to restart thus becomes two restarts at most, and the last of them sees the newest state.
 */
export class OneAtATime {
  private running: Promise<void> | undefined;
  private waiting: { promise: Promise<void>; forced: boolean } | undefined;

  /** @param work gets `forced`: whether any of those who asked for this turn insisted */
  public constructor(private readonly work: (forced: boolean) => Promise<void>) {}

  /** Resolves when a turn that began after this call has ended; rejects as that turn does. */
  public request(forced: boolean): Promise<void> {
    if (this.waiting === undefined) {
      if (this.running === undefined) return this.begin(forced);
      const promise = this.running.then(
        () => this.beginWaiting(),
        () => this.beginWaiting(),
      );
      this.waiting = { promise, forced };
    }
    this.waiting.forced ||= forced;
    return this.waiting.promise;
  }

  /** Resolves when nothing runs or waits; never rejects. */
  public async settled(): Promise<void> {
    for (let last = this.last(); last !== undefined; last = this.last()) {
      await last.catch(() => undefined);
    }
  }

  private last(): Promise<void> | undefined {
    return this.waiting?.promise ?? this.running;
  }

  private beginWaiting(): Promise<void> {
    const forced = this.waiting?.forced ?? false;
    this.waiting = undefined;
    return this.begin(forced);
  }

  private begin(forced: boolean): Promise<void> {
    // The work starts a moment later, so that what it calls synchronously already sees it as running.
    const turn = Promise.resolve()
      .then(() => this.work(forced))
      .finally(() => {
        this.running = undefined;
      });
    this.running = turn;
    return turn;
  }
}
