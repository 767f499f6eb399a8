import { JsonNumber } from '../../../model/json.ts';
import { MAX_TOKENS } from '../nativeEvent.ts';

/** What is wrong with a member: the keys that lead to it, and why. */
export interface UsageFault {
  path: string[];
  message: string;
}

export type Members = Readonly<Record<string, unknown>>;
/** The keys that lead to a member. */
export type Path = readonly string[];

/** Whether a parsed value is an object with members. A JsonNumber, which is an object too, is none. */
export function isMembers(value: unknown): value is Members {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof JsonNumber)
  );
}

/** Whether a parsed value is a number of tokens. A JsonNumber never is: it is too large, or has a fraction. */
export function isCount(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= MAX_TOKENS;
}

/** What a count has to be. */
export const COUNT = `must be a whole number of tokens, 0 to ${MAX_TOKENS}`;

/** The counts of one usage object, and the first thing that is wrong with them. */
export class Counts {
  readonly usage: Members;
  fault: UsageFault | null = null;

  constructor(usage: Members) {
    this.usage = usage;
  }

  /** The first of the members that is there, null ones left out; null where none is, or what is there is no count. */
  first(paths: readonly Path[] | undefined): number | null {
    if (paths === undefined) return null;
    for (const path of paths) {
      const value = this.at(path);
      if (value !== undefined) return this.count(value, path);
    }
    return null;
  }

  /** Where `first` has found its member. */
  where(paths: readonly Path[]): Path {
    return paths.find((path) => this.at(path) !== undefined) ?? paths[0]!;
  }

  /** What the tokens of one kind add up to in a list of them; null where there is no list. */
  ofKind(paths: readonly Path[], kind: { name: string; is: RegExp; count: string }): number | null {
    for (const path of paths) {
      const list = this.at(path);
      if (list === undefined) continue;
      if (!Array.isArray(list)) {
        this.refuse(path, 'must be an array');
        return null;
      }
      let sum = 0;
      for (const [index, entry] of list.entries()) {
        if (!isMembers(entry) || typeof entry[kind.name] !== 'string') continue;
        if (!kind.is.test(entry[kind.name] as string) || entry[kind.count] == null) continue;
        sum += this.count(entry[kind.count], [...path, String(index), kind.count]) ?? 0;
      }
      return sum;
    }
    return null;
  }

  refuse(path: Path, message: string): void {
    this.fault ??= { path: [...path], message };
  }

  /** @returns null where it is none, which is a fault then. */
  count(value: unknown, path: Path): number | null {
    if (isCount(value)) return value + 0; // -0 is 0
    this.refuse(path, COUNT);
    return null;
  }

  /** undefined where it is not there, or null. */
  private at(path: Path): unknown {
    let value: unknown = this.usage;
    for (let depth = 0; depth < path.length; depth++) {
      if (depth > 0 && !isMembers(value)) {
        this.refuse(path.slice(0, depth), 'must be an object');
        return undefined;
      }
      value = (value as Members)[path[depth]!];
      if (value === undefined || value === null) return undefined;
    }
    return value;
  }
}
