import { usePlace } from '../../address/place.ts';
import { CustomerDetail } from './CustomerDetail.tsx';
import { CustomerList } from './CustomerList.tsx';

/** Customers: who uses most, all, or one. */
export default function CustomersPage() {
  const { rest } = usePlace();
  return rest[0] === undefined ? <CustomerList /> : <CustomerDetail key={rest[0]} id={rest[0]} />;
}
