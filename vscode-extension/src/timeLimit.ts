/** Waiting that ends. */

/**
 * What `work` gives, or an error when that takes too long; the work itself goes on, because nothing can stop it.
 *
 * @param what the beginning of the error's sentence: `The server did not answer`
 */
export async function withinTime<T>(work: PromiseLike<T>, milliseconds: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => {
      reject(new Error(`${what} within ${milliseconds / 1000} s`));
    }, milliseconds);
  });
  try {
    return await Promise.race([work, limit]);
  } finally {
    clearTimeout(timer);
  }
}
