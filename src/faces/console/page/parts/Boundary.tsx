import { Component, type ComponentChildren } from 'preact';
import { Problem } from '../api/request.ts';
import { Fault } from './Fault.tsx';

/** Keeps the shell where a page fails, and says what has failed. */
export class Boundary extends Component<{ children: ComponentChildren }, { error: Error | null }> {
  override state = { error: null as Error | null };

  override componentDidCatch(error: Error): void {
    console.error(error);
    this.setState({ error });
  }

  override render() {
    const { error } = this.state;
    if (error === null) return this.props.children;
    const problem = new Problem(0, { code: error.name, detail: error.message });
    return (
      <Fault title="This page has failed" problem={problem} onRetry={() => this.setState({ error: null })} />
    );
  }
}
