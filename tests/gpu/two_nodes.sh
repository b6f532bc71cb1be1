#!/usr/bin/env bash
# Four ranks on two GPUs, as two nodes that both have these GPUs: NCCL takes another NCCL_HOSTID for another host, so that
# ranks of one node meet over NVLink and nodes over sockets on loopback.
# Usage: two_nodes.sh PROGRAM …, which torchrun starts; or `two_nodes.sh --mpi PROGRAM …` as each of mpirun's four ranks.
export NCCL_SOCKET_IFNAME=lo NCCL_IB_DISABLE=1 NCCL_NVLS_ENABLE=0
if [ "$1" = --mpi ]; then
  export NCCL_HOSTID=node$((PMI_RANK / 2)) NCCL_TESTS_DEVICE=$((PMI_RANK % 2))
  shift
  exec "$@"
fi
nodes=()
for node in 0 1; do
  NCCL_HOSTID=node$node "${PYTHON:-python3}" -m torch.distributed.run --nnodes 2 --node-rank $node --nproc-per-node 2 \
    --master-addr 127.0.0.1 --master-port "${PORT:-29755}" "$@" &
  nodes+=($!)
done
status=0
for node in "${nodes[@]}"; do wait "$node" || status=$?; done
exit $status
