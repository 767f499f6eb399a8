import { Component, type ComponentChildren } from 'preact';
import { Fault } from './Fault.tsx';

interface BoundaryProps {
  /** The address: another one is tried again. */
  of: string;
  children: ComponentChildren;
}

/** Keeps the shell where a page fails, and says what has failed. */
export class Boundary extends Component<BoundaryProps, { error: Error | null }> {
  override state = { error: null as Error | null };

  override componentDidCatch(error: Error): void {
    console.error(error);
    this.setState({ error });
  }

  override componentDidUpdate(before: BoundaryProps): void {
    if (this.state.error !== null && before.of !== this.props.of) this.setState({ error: null });
  }

  override render() {
    const { error } = this.state;
    if (error === null) return this.props.children;
    const retry = () => this.setState({ error: null });
    return <Fault title="This page has failed" problem={error} onRetry={retry} />;
  }
}
